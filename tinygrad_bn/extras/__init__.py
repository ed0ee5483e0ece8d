"""What one may want around the package: each file stands alone, and nothing else imports it.

A file here may need one optional package. It is imported when it is used, and where it is missing
the error names it and says how to install it.
"""
