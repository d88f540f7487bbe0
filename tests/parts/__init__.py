"""Real parts that tests stand on: database servers, a browser."""
