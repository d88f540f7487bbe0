"""Traces (OpenTelemetry), where a setting names who takes them; without it nothing here is ever loaded (LA-4).

What is traced stands in objects that take the place of the ordinary ones, so that nobody pays for it who does not use
it. A span says what was done, how long it took and how it ended. It never says who asked, and no text of a request, of
a statement or of an error is in it (LA-2).
"""
