-- How much an account may owe. No account of an earlier version has a limit.

ALTER TABLE account ADD COLUMN credit_limit_e8 ANY;
