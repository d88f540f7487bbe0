-- Once, on the primary: a role and an empty database for Ostiary.
CREATE ROLE ostiary LOGIN PASSWORD 'change-me-ostiary';
CREATE DATABASE ostiary OWNER ostiary;
-- A server that was paused in a transaction gives back what it locked; behind pgbouncer it cannot ask for it itself.
ALTER ROLE ostiary SET idle_in_transaction_session_timeout = '5s';
