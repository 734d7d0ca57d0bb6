-- The same file by the same call rules (FORMATS: Asterisk) in DuckDB, for scripts/bench.
--
-- A row is identified by uniqueid and sequence; a call is a linkedid; its connected time is the sum
-- of billsec over its ANSWERED rows where neither channel is Local/…; minutes round up per call.
-- FILE is replaced by the file's path.
SET threads = 2;
SET enable_progress_bar = false;
WITH cdr AS (
    SELECT * FROM read_csv('FILE', header = false, auto_detect = false, delim = ',', quote = '"',
        escape = '"', columns = {
            'accountcode': 'VARCHAR', 'src': 'VARCHAR', 'dst': 'VARCHAR', 'dcontext': 'VARCHAR',
            'clid': 'VARCHAR', 'channel': 'VARCHAR', 'dstchannel': 'VARCHAR', 'lastapp': 'VARCHAR',
            'lastdata': 'VARCHAR', 'start': 'VARCHAR', 'answer': 'VARCHAR', 'end': 'VARCHAR',
            'duration': 'BIGINT', 'billsec': 'BIGINT', 'disposition': 'VARCHAR', 'amaflags': 'VARCHAR',
            'uniqueid': 'VARCHAR', 'userfield': 'VARCHAR', 'peeraccount': 'VARCHAR', 'linkedid': 'VARCHAR',
            'sequence': 'BIGINT'})
), legs AS (
    SELECT any_value(linkedid) AS linkedid, any_value(dcontext) AS dcontext,
        any_value(CASE WHEN disposition = 'ANSWERED' AND NOT starts_with(coalesce(channel, ''), 'Local/')
            AND NOT starts_with(coalesce(dstchannel, ''), 'Local/') THEN billsec ELSE 0 END) AS seconds
    FROM cdr GROUP BY uniqueid, sequence
), calls AS (
    SELECT linkedid, any_value(dcontext) AS dcontext, sum(seconds) AS seconds FROM legs GROUP BY linkedid
)
SELECT split_part(dcontext, '-', 1) AS account, count(*) FILTER (seconds > 0) AS connected,
    sum((seconds + 59) // 60) AS minutes
FROM calls GROUP BY account ORDER BY account;
