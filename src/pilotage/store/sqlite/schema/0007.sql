-- Cases that people made of what was asked in production, until a team takes them into its folder.

CREATE TABLE proposal (
    id TEXT NOT NULL,
    use_case TEXT NOT NULL,
    unit TEXT NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (use_case, id)
) WITHOUT ROWID;
