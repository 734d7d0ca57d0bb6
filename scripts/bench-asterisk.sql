-- The yardstick for `cargo bench -p farebox-text --bench import`: the same file, the same rules
-- (FORMATS.md), in DuckDB. The file is /tmp/Master.csv, as the bench generates it.
--
--   /usr/bin/time -v duckdb -c ".read scripts/bench-asterisk.sql"
--
-- A row is identified by uniqueid and sequence; a call is a linkedid; its connected time is the sum
-- of billsec over its ANSWERED rows where neither channel is Local/…; minutes round up per call.
SET threads = 2;
WITH cdr AS (
    SELECT * FROM read_csv('/tmp/Master.csv', header = false, auto_detect = false, delim = ',', quote = '"',
        escape = '"', encoding = 'latin-1', columns = {
            'accountcode': 'VARCHAR', 'src': 'VARCHAR', 'dst': 'VARCHAR', 'dcontext': 'VARCHAR',
            'clid': 'VARCHAR', 'channel': 'VARCHAR', 'dstchannel': 'VARCHAR', 'lastapp': 'VARCHAR',
            'lastdata': 'VARCHAR', 'start': 'TIMESTAMP', 'answer': 'TIMESTAMP', 'end': 'TIMESTAMP',
            'duration': 'BIGINT', 'billsec': 'BIGINT', 'disposition': 'VARCHAR', 'amaflags': 'VARCHAR',
            'uniqueid': 'VARCHAR', 'userfield': 'VARCHAR', 'peeraccount': 'VARCHAR', 'linkedid': 'VARCHAR',
            'sequence': 'BIGINT'})
), legs AS (
    SELECT any_value(linkedid) AS linkedid, any_value(dcontext) AS dcontext, max("end") AS "end",
        any_value(CASE WHEN disposition = 'ANSWERED' AND NOT starts_with(coalesce(channel, ''), 'Local/')
            AND NOT starts_with(coalesce(dstchannel, ''), 'Local/') THEN billsec ELSE 0 END) AS seconds
    FROM cdr GROUP BY uniqueid, sequence
), calls AS (
    SELECT linkedid, any_value(dcontext) AS dcontext, max("end") AS "end", sum(seconds) AS seconds
    FROM legs GROUP BY linkedid
)
SELECT count(*) AS calls, count(*) FILTER (seconds > 0) AS connected, sum(seconds) AS seconds,
    sum((seconds + 59) // 60) AS minutes, max("end") AS latest
FROM calls;
