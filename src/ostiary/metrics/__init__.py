"""What is counted: the names and meanings of all metrics, and the figures that the rest of the package adds to.

Figures are plain numbers in memory, so that adding to one costs next to nothing. They become text only when somebody
asks (`monitoring`). Nothing of a caller ever becomes a label: only names that stand in the code.
"""
