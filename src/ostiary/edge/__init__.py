"""The HTTP edge: what every request passes before an endpoint answers it, and every answer on its way out.

Knows endpoints only by what they declare. `pipeline` has the steps in their order; each step has a module of its own.
"""
