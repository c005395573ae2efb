-- The words that search finds.
CREATE VIRTUAL TABLE words USING fts5(
	name, description, keywords,
	content='', contentless_delete=1, prefix='3', tokenize='unicode61 remove_diacritics 2'
);
