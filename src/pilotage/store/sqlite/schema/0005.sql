-- Units that were erased. `unit` is blank once nothing that was appended before can still be sealed.

CREATE TABLE erasure (
    number INTEGER PRIMARY KEY,
    use_case TEXT NOT NULL,
    unit TEXT NOT NULL,
    pseudonym TEXT NOT NULL,
    at INTEGER NOT NULL
);
