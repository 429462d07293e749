-- What each holder, a process, was handed of an account (a use case's money, say) in each period, less what it gave back,
-- and how much of that it has spent. The holder '' is all that are settled.
CREATE TABLE allowance (
    account TEXT NOT NULL,
    period TEXT NOT NULL,
    holder TEXT NOT NULL,
    taken INTEGER NOT NULL,
    spent INTEGER NOT NULL,
    PRIMARY KEY (account, period, holder)
) WITHOUT ROWID;

-- How much of an account's cap, in percent, people were told of.
CREATE TABLE allowance_told (
    account TEXT NOT NULL,
    period TEXT NOT NULL,
    part INTEGER NOT NULL,
    PRIMARY KEY (account, period)
) WITHOUT ROWID;
