-- The names of releases.
CREATE TABLE names (
	name     TEXT PRIMARY KEY,
	folded   TEXT NOT NULL, -- without the scope and marks
	skeleton TEXT NOT NULL, -- what names that look alike share
	related  INTEGER NOT NULL, -- how many other names go on with this one, or have it in another scope
	place    INTEGER NOT NULL -- the lower, the sooner search shows it
) WITHOUT ROWID;
CREATE INDEX names_by_folded ON names(folded, place);
CREATE INDEX names_by_skeleton ON names(skeleton);
CREATE INDEX names_by_place ON names(place, name);
CREATE INDEX names_by_place_folded ON names(place, folded);

-- How many texts name it as a dependency.
CREATE TABLE dependents (
	name TEXT PRIMARY KEY,
	n    INTEGER NOT NULL
) WITHOUT ROWID;

-- What search reads: of each name, each author's newest release.
CREATE TABLE texts (
	num     INTEGER PRIMARY KEY, -- the lower, the sooner search finds it; the last 40 bits are the record's number
	name    TEXT NOT NULL,
	author  BLOB NOT NULL,
	version TEXT NOT NULL,
	UNIQUE (name, author)
);
