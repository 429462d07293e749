-- The organisation's rules in force.

CREATE TABLE policy (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    body BLOB NOT NULL
);
