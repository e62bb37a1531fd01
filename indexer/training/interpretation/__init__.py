"""From scores to what a reading says: calibration, what is possible or likely, what is unusual.

The other side of `indexer.cascade.interpretation`, which applies what is fitted here.
"""
