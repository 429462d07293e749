-- How much of each account (a use case's money, say) was handed out to workers in each period, less what they gave back.
CREATE TABLE allowance (
    account TEXT NOT NULL,
    period TEXT NOT NULL,
    taken INTEGER NOT NULL,
    PRIMARY KEY (account, period)
) WITHOUT ROWID;
