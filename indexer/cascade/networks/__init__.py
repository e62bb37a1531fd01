"""The networks of a cascade in torch: CNN backbones, the encoder over them, the RNN.

Imported by training, and by the runtimes that compute with torch or export from it.
May import: `indexer.cascade.beam_search`, `indexer.errors`.
"""
