-- Records of authors whom nobody here trusts, and what they take. A record leaves the
-- table when its author is found trusted, or with the record.
CREATE TABLE strangers (
	record INTEGER PRIMARY KEY REFERENCES records(num) ON DELETE CASCADE,
	author BLOB NOT NULL,
	used   INTEGER NOT NULL, -- counts arrivals and uses; no clock changes their order
	size   INTEGER NOT NULL  -- of its envelope in bytes
);
CREATE INDEX strangers_by_author ON strangers(author);
CREATE INDEX strangers_by_use ON strangers(used, record);

CREATE TABLE strangers_total (
	records INTEGER NOT NULL,
	bytes   INTEGER NOT NULL -- of envelopes and of the key blocks that are charged
);
INSERT INTO strangers_total VALUES (0, 0);
