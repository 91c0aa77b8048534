-- A vector blob holds a row for each passage of its memory's text; how long a row is belongs to the epoch.

ALTER TABLE epochs ADD COLUMN dimension INTEGER;  -- numbers in a vector; NULL until there is one
UPDATE epochs SET dimension = (SELECT length(vector) / 2 FROM vectors WHERE epoch = epochs.number LIMIT 1);

-- What may be longer than one passage was embedded by its beginning alone.
INSERT OR IGNORE INTO outbox (tier, memory, due)
SELECT 'embed', v.memory, 0 FROM vectors v JOIN memories m ON m.number = v.memory
WHERE m.forgotten IS NULL AND m.superseded_by IS NULL AND length(CAST(m.content AS BLOB)) > 480;
