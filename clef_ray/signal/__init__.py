"""Signal processing: arrays in, arrays out, the sampling rate always an argument. NumPy and SciPy only.

filters.py: resampling. quality.py: which records cannot be used, and why.
"""
