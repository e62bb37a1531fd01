# cxrdex on the processor, without a GPU, with its page: docker-compose.yml tells how it is used.
FROM python:3.11-slim

RUN useradd --create-home --uid 10001 cxrdex \
    && install --directory --owner cxrdex /database /home/cxrdex/.config/cxrdex

WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY indexer indexer
COPY search search
COPY cli cli
COPY cxrdex cxrdex
# For a host of a cluster: parquet,ray,remote,web.
ARG EXTRAS=parquet,web
RUN pip install --no-cache-dir --constraint constraints.txt ".[$EXTRAS]" && rm -rf /source/*

USER cxrdex
WORKDIR /home/cxrdex
ENV CXRDEX_DATABASE=/database
ENTRYPOINT ["cxrdex"]
CMD ["--help"]
