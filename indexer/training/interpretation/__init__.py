"""From scores to what a reading says: calibration, what is possible or likely, what is unusual.

The other side of `indexer.cascade.interpretation`, which applies what is fitted here.
May import: `indexer.training.sources`, `indexer.training.recipe`, `indexer.training.model_card` and
what `indexer.training` may.
"""
