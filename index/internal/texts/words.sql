-- The words that search finds, and by what it filters.
CREATE VIRTUAL TABLE words USING fts5(
	name, description, keywords, signer, scope, license, depends,
	content='', contentless_delete=1, prefix='3 4 5', tokenize='unicode61 remove_diacritics 2'
);
