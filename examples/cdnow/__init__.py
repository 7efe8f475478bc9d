"""69,659 real purchases of 23,570 customers, published month by month, a drop of each month.

`make example-cdnow`; README.md beside this file tells the way step by step.
"""
