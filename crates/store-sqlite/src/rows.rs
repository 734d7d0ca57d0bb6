//! The rows that people read.

use crate::value::{At, Money, Units};
use farebox_core::calendar::Span;
use farebox_core::package;
use farebox_store::rows::{
    AccountRow, BalanceRow, BillRow, LineRow, PackageRow, PostingRow, Rows, SubscriptionRow, Value,
};
use rusqlite::{Connection, Result, Row, params};

/// Adds rows, and replaces those with the same key.
pub fn write(connection: &Connection, rows: &Rows) -> Result<()> {
    for row in &rows.accounts {
        let sql = "INSERT OR REPLACE INTO account VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        connection.prepare_cached(sql)?.execute(params![
            row.account,
            row.payer,
            row.title,
            row.currency,
            row.zone,
            At(row.opened),
            row.tier,
            row.arrears_since.map(At),
            row.suspended_since.map(At),
            row.credit_limit.map(Money),
        ])?;
    }
    for row in &rows.subscriptions {
        let sql = "INSERT OR REPLACE INTO subscription VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        connection.prepare_cached(sql)?.execute(params![
            row.account,
            row.name,
            row.catalogue,
            row.plan,
            row.mode,
            At(row.start),
            row.end.map(At),
            row.quantity,
            row.state,
        ])?;
    }
    for row in &rows.bills {
        let sql = "INSERT OR REPLACE INTO bill VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        connection.prepare_cached(sql)?.execute(params![
            row.account,
            At(row.month.start),
            At(row.month.end),
            row.id,
            row.lines,
            Money(row.total),
            Money(row.paid),
            Money(row.coupons),
            Money(row.credited),
            Money(row.written_off),
            Money(row.due),
            row.issued.map(At),
        ])?;
    }
    // A bill has several of these: finding their statement takes a while, too.
    write_lines(connection, &rows.lines)?;
    let mut insert = None;
    for row in &rows.postings {
        let sql = "INSERT INTO posting VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let (money, units) = columns(row.value);
        let insert = match &mut insert {
            Some(insert) => insert,
            none => none.insert(connection.prepare_cached(sql)?),
        };
        insert.execute(params![
            row.account,
            row.version,
            row.number,
            At(row.at),
            row.memo,
            row.ledger,
            row.unit,
            money,
            units,
        ])?;
    }
    let mut replace = None;
    for row in &rows.balances {
        let sql = "INSERT OR REPLACE INTO balance VALUES (?, ?, ?, ?, ?)";
        let (money, units) = columns(row.value);
        let replace = match &mut replace {
            Some(replace) => replace,
            none => none.insert(connection.prepare_cached(sql)?),
        };
        replace.execute(params![row.account, row.ledger, row.unit, money, units])?;
    }
    rows.packages.iter().try_for_each(|row| write_package(connection, row))
}

/// Replaces rows by those with the same keys.
pub fn replace(connection: &Connection, rows: &Rows) -> Result<()> {
    for row in &rows.lines {
        let sql = "DELETE FROM line WHERE payer = ? AND month = ? AND id = ?";
        connection.prepare_cached(sql)?.execute(params![row.payer, At(row.month), row.id])?;
    }
    for row in &rows.postings {
        let sql = "DELETE FROM posting WHERE account = ? AND version = ? AND number = ?";
        connection.prepare_cached(sql)?.execute(params![row.account, row.version, row.number])?;
    }
    write(connection, rows)
}

fn write_lines(connection: &Connection, rows: &[LineRow]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO line VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let mut insert = connection.prepare_cached(sql)?;
    for row in rows {
        insert.execute(params![
            row.payer,
            At(row.month),
            row.id,
            row.account,
            row.kind,
            row.subscription,
            row.plan,
            row.description,
            Units(row.quantity),
            row.unit,
            Money(row.list),
            Money(row.discount),
            Money(row.amount),
            At(row.period.start),
            At(row.period.end),
            At(row.posted),
            row.corrects,
            row.formula,
            row.explanation,
        ])?;
    }
    Ok(())
}

fn write_package(connection: &Connection, row: &PackageRow) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO package VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    connection.prepare_cached(sql)?.execute(params![
        row.payer,
        row.bucket,
        row.account,
        row.subscription,
        row.title,
        row.unit,
        At(row.span.start),
        At(row.span.end),
        At(row.expires),
        Units(row.units.granted),
        Units(row.units.available),
        Units(row.units.held),
        Units(row.units.drawn),
        Units(row.units.expired),
    ])?;
    Ok(())
}

fn columns(value: Value) -> (Option<Money>, Option<Units>) {
    match value {
        Value::Money(amount) => (Some(Money(amount)), None),
        Value::Units(units) => (None, Some(Units(units))),
    }
}

/// The rows of an account, in the order of their keys.
pub fn read(connection: &Connection, account: &str) -> Result<Rows> {
    let all = |table: &str, owner: &str, order: &str| {
        format!("SELECT * FROM {table} WHERE {owner} = ? ORDER BY {order}")
    };
    Ok(Rows {
        accounts: list(connection, &all("account", "account", "account"), account, account_row)?,
        subscriptions: list(connection, &all("subscription", "account", "name"), account, subscription_row)?,
        bills: list(connection, &all("bill", "account", "month"), account, bill_row)?,
        lines: list(connection, &all("line", "payer", "month, id"), account, line_row)?,
        postings: list(connection, &all("posting", "account", "version, number"), account, posting_row)?,
        balances: list(connection, &all("balance", "account", "ledger"), account, balance_row)?,
        packages: list(connection, &all("package", "payer", "bucket"), account, package_row)?,
    })
}

fn list<R>(
    connection: &Connection,
    sql: &str,
    account: &str,
    row: fn(&Row<'_>) -> Result<R>,
) -> Result<Vec<R>> {
    connection.prepare_cached(sql)?.query_map([account], row)?.collect()
}

/// The accounts after a name, at most so many.
pub fn accounts(connection: &Connection, after: &str, most: usize) -> Result<Vec<AccountRow>> {
    let sql = "SELECT * FROM account WHERE account > ? ORDER BY account LIMIT ?";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    connection.prepare_cached(sql)?.query_map(params![after, most], account_row)?.collect()
}

fn account_row(row: &Row<'_>) -> Result<AccountRow> {
    Ok(AccountRow {
        account: row.get("account")?,
        payer: row.get("payer")?,
        title: row.get("title")?,
        currency: row.get("currency")?,
        zone: row.get("zone")?,
        opened: row.get::<_, At>("opened")?.0,
        tier: row.get("tier")?,
        arrears_since: row.get::<_, Option<At>>("arrears_since")?.map(|at| at.0),
        suspended_since: row.get::<_, Option<At>>("suspended_since")?.map(|at| at.0),
        credit_limit: row.get::<_, Option<Money>>("credit_limit_e8")?.map(|limit| limit.0),
    })
}

fn subscription_row(row: &Row<'_>) -> Result<SubscriptionRow> {
    Ok(SubscriptionRow {
        account: row.get("account")?,
        name: row.get("name")?,
        catalogue: row.get("catalogue")?,
        plan: row.get("plan")?,
        mode: row.get("mode")?,
        start: row.get::<_, At>("start")?.0,
        end: row.get::<_, Option<At>>("end")?.map(|at| at.0),
        quantity: row.get("quantity")?,
        state: row.get("state")?,
    })
}

fn bill_row(row: &Row<'_>) -> Result<BillRow> {
    Ok(BillRow {
        account: row.get("account")?,
        month: Span { start: row.get::<_, At>("month")?.0, end: row.get::<_, At>("month_end")?.0 },
        id: row.get("id")?,
        lines: row.get("lines")?,
        total: row.get::<_, Money>("total_e8")?.0,
        paid: row.get::<_, Money>("paid_e8")?.0,
        coupons: row.get::<_, Money>("coupons_e8")?.0,
        credited: row.get::<_, Money>("credited_e8")?.0,
        written_off: row.get::<_, Money>("written_off_e8")?.0,
        due: row.get::<_, Money>("due_e8")?.0,
        issued: row.get::<_, Option<At>>("issued")?.map(|at| at.0),
    })
}

fn line_row(row: &Row<'_>) -> Result<LineRow> {
    Ok(LineRow {
        id: row.get("id")?,
        payer: row.get("payer")?,
        month: row.get::<_, At>("month")?.0,
        account: row.get("account")?,
        kind: row.get("kind")?,
        subscription: row.get("subscription")?,
        plan: row.get("plan")?,
        description: row.get("description")?,
        quantity: row.get::<_, Units>("quantity")?.0,
        unit: row.get("unit")?,
        list: row.get::<_, Money>("list_e8")?.0,
        discount: row.get::<_, Money>("discount_e8")?.0,
        amount: row.get::<_, Money>("amount_e8")?.0,
        period: span(row)?,
        posted: row.get::<_, At>("posted")?.0,
        corrects: row.get("corrects")?,
        formula: row.get("formula")?,
        explanation: row.get("explanation")?,
    })
}

fn posting_row(row: &Row<'_>) -> Result<PostingRow> {
    Ok(PostingRow {
        account: row.get("account")?,
        version: row.get("version")?,
        number: row.get("number")?,
        at: row.get::<_, At>("at")?.0,
        memo: row.get("memo")?,
        ledger: row.get("ledger")?,
        unit: row.get("unit")?,
        value: value(row)?,
    })
}

fn balance_row(row: &Row<'_>) -> Result<BalanceRow> {
    Ok(BalanceRow {
        account: row.get("account")?,
        ledger: row.get("ledger")?,
        unit: row.get("unit")?,
        value: value(row)?,
    })
}

fn package_row(row: &Row<'_>) -> Result<PackageRow> {
    Ok(PackageRow {
        bucket: row.get("bucket")?,
        payer: row.get("payer")?,
        account: row.get("account")?,
        subscription: row.get("subscription")?,
        title: row.get("title")?,
        unit: row.get("unit")?,
        span: span(row)?,
        expires: row.get::<_, At>("expires")?.0,
        units: package::Units {
            granted: row.get::<_, Units>("granted")?.0,
            available: row.get::<_, Units>("available")?.0,
            held: row.get::<_, Units>("held")?.0,
            drawn: row.get::<_, Units>("drawn")?.0,
            expired: row.get::<_, Units>("expired")?.0,
        },
    })
}

fn span(row: &Row<'_>) -> Result<Span> {
    Ok(Span { start: row.get::<_, At>("start")?.0, end: row.get::<_, At>("end")?.0 })
}

fn value(row: &Row<'_>) -> Result<Value> {
    match (row.get("value_e8")?, row.get::<_, Option<Units>>("units")?) {
        (Some(Money(amount)), None) => Ok(Value::Money(amount)),
        (None, Some(Units(units))) => Ok(Value::Units(units)),
        // It is of one or the other.
        _ => Err(rusqlite::Error::InvalidColumnType(0, "units".to_owned(), rusqlite::types::Type::Null)),
    }
}
