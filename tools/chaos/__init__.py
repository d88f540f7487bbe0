"""`make chaos`: every test of a fault in its long mode, one at a time, and a page of what came out.

__main__.py   runs them, and collects what they measured
report.py     the page, made from results.json and nothing else
"""
