"""Files read on other machines: a Ray cluster behind the seam of `indexer.pipeline.executor`.

May import: what `indexer.pipeline` may. Ray is imported when a run on a cluster begins.
"""
