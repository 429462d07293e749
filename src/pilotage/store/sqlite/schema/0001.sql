-- One row a noun, the struct itself as JSON in `body`; only what is looked up or compared has a column of its own.

CREATE TABLE use_case (
    name TEXT PRIMARY KEY,
    body BLOB NOT NULL
);

CREATE TABLE release (
    number INTEGER PRIMARY KEY,
    reference TEXT NOT NULL UNIQUE,
    use_case TEXT NOT NULL,
    author TEXT NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX release_of ON release (use_case, number);

CREATE TABLE blob (
    digest TEXT PRIMARY KEY,
    data BLOB NOT NULL
);

CREATE TABLE status (
    use_case TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    body BLOB NOT NULL
);

CREATE TABLE ledger (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    use_case TEXT NOT NULL,
    detail BLOB NOT NULL,
    previous TEXT NOT NULL,
    digest TEXT NOT NULL
);
CREATE INDEX ledger_of ON ledger (use_case, seq);

CREATE TABLE evidence (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    use_case TEXT NOT NULL,
    release TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX evidence_of ON evidence (use_case, number);

CREATE TABLE approval (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    use_case TEXT NOT NULL,
    release TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX approval_of ON approval (use_case, number);

CREATE TABLE access_key (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL
);

-- What the workers poll: `value` grows with every change of a serving row or an access key.
CREATE TABLE change (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    value INTEGER NOT NULL
);
INSERT INTO change VALUES (1, 0);

CREATE TABLE serving (
    use_case TEXT PRIMARY KEY,
    change INTEGER NOT NULL,
    body BLOB NOT NULL
);

CREATE TABLE segment (
    name TEXT PRIMARY KEY,
    sealed INTEGER NOT NULL,
    finished INTEGER NOT NULL
);

CREATE TABLE event_file (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    count INTEGER NOT NULL,
    UNIQUE (kind, name)
);

CREATE TABLE unit_key (
    id TEXT PRIMARY KEY,
    use_case TEXT NOT NULL,
    unit TEXT NOT NULL,
    key BLOB NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (use_case, unit)
);

CREATE TABLE result (
    run TEXT NOT NULL,
    item TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (run, item)
);

CREATE TABLE secret (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
);

CREATE TABLE batch (
    rollout TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (rollout, seq)
) WITHOUT ROWID;

-- What was computed from a rollout's batches up to `seq`: to go on from, and to show. The batches say it again.
CREATE TABLE kept (
    rollout TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    state BLOB NOT NULL,
    standing BLOB NOT NULL
);

CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    fence INTEGER NOT NULL,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL
);
