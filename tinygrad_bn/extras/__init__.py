"""What one may want around the package. Nothing else imports it.

replay.py: a step that is done again without Python; notes.py is what it is made of.
distributed.py: the same training in several processes, by MPI; ranks.py is what these ask of each
other, and sync_batchnorm.py batch normalization by the statistics of all.

A file here may need one optional package. It is imported when it is used, and where it is missing
the error names it and says how to install it.
"""
