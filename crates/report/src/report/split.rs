//! What lines are added up by: project, application, tag, member, bill group, plan (R-ORG-2).

use super::bill::{header, header_of};
use super::table::{self, Align};
use farebox_core::account::{AccountHead, Group};
use farebox_core::bill::{Bill, Line, LineKind};
use farebox_core::calendar::{Span, Zone};
use farebox_core::cost::{By, bill_group};
use farebox_core::engine::Catalogues;
use farebox_core::money::Amount;
use std::collections::{BTreeMap, BTreeSet};

/// Who and what stands behind lines: accounts for their titles, price lists for bill groups.
#[derive(Clone, Copy, Debug)]
pub struct Parties<'a> {
    /// The payer and its members.
    pub group: &'a Group,
    /// The price lists.
    pub catalogues: &'a Catalogues,
}

impl<'a> Parties<'a> {
    /// The zone whose months the bills of an account are: that of the one that pays.
    pub fn zone(&self, head: &'a AccountHead) -> &'a Zone {
        self.group.get(head.payer()).map_or(&head.zone, |payer| &payer.head.zone)
    }

    fn title(&self, account: &str) -> String {
        self.group.get(account).map_or(account, |account| account.head.title.as_str()).to_owned()
    }
}

/// Lines under one heading.
pub(super) struct Section<'a> {
    /// The heading; `None` where a bill has none.
    pub title: Option<String>,
    pub lines: Vec<&'a Line>,
}

/// The exact sum of lines.
pub(super) fn sum(lines: &[&Line]) -> Amount {
    // The bill has added them up before.
    lines.iter().fold(Amount::ZERO, |sum, line| sum.add(line.amount).unwrap_or(sum))
}

/// Lines under the headings that a bill has: its accounts, the payer first; or else bill groups, in
/// the order of their first lines.
pub(super) fn sections<'a>(
    head: &AccountHead,
    lines: &[&'a Line],
    parties: &Parties<'_>,
) -> Vec<Section<'a>> {
    let (rounding, rest): (Vec<&Line>, Vec<&Line>) =
        lines.iter().copied().partition(|line| line.kind == LineKind::Rounding);
    let accounts: BTreeSet<&str> = rest.iter().map(|line| line.account.as_str()).collect();
    let groups: Vec<Option<(String, bool)>> =
        rest.iter().map(|line| bill_group(line, parties.catalogues)).collect();
    let names: BTreeSet<&str> = groups.iter().flatten().map(|(name, _)| name.as_str()).collect();
    let named = groups.iter().flatten().any(|(_, named)| *named) && names.len() > 1;
    let mut sections: Vec<Section<'a>> = Vec::new();
    if accounts.iter().any(|account| *account != head.id) {
        let mut order: Vec<&str> = accounts.into_iter().collect();
        order.sort_by_key(|account| (*account != head.id, *account));
        for account in order {
            let lines = rest.iter().copied().filter(|line| line.account == account).collect();
            sections.push(Section { title: Some(parties.title(account)), lines });
        }
    } else if named {
        for (line, group) in rest.iter().zip(groups) {
            let title = group.map_or_else(|| "Other".to_owned(), |(name, _)| name);
            match sections.iter_mut().find(|section| section.title.as_ref() == Some(&title)) {
                Some(section) => section.lines.push(line),
                None => sections.push(Section { title: Some(title), lines: vec![line] }),
            }
        }
    } else {
        return vec![Section { title: None, lines: lines.to_vec() }];
    }
    sections.push(Section { title: None, lines: rounding });
    sections
}

/// The bill's lines added up. What has none is shown as unassigned; the rounding of the total is
/// nobody's.
pub fn split(head: &AccountHead, bill: &Bill, parties: &Parties<'_>, by: &By) -> Vec<String> {
    let lines: Vec<&Line> = bill.lines.iter().collect();
    let mut shown = vec![format!("{}, by {}", header(head, bill), by.name())];
    shown.extend(added_up(head, &lines, bill.posted, parties, by));
    shown
}

/// The same of what a member has on the bill of the account that pays for it.
pub fn split_share(member: &AccountHead, bill: &Bill, parties: &Parties<'_>, by: &By) -> Vec<String> {
    let lines = own_lines(member, bill);
    let header = header_of(member, parties.zone(member), bill, "Share of bill");
    let mut shown = vec![format!("{header} · paid by {}, by {}", member.payer(), by.name())];
    shown.extend(added_up(member, &lines, sum(&lines), parties, by));
    shown
}

/// The lines of one account on a bill, without the rounding of the total.
pub(super) fn own_lines<'a>(account: &AccountHead, bill: &'a Bill) -> Vec<&'a Line> {
    let own = |line: &&Line| line.kind != LineKind::Rounding && line.account == account.id;
    bill.lines.iter().filter(own).collect()
}

fn added_up(
    head: &AccountHead,
    lines: &[&Line],
    total: Amount,
    parties: &Parties<'_>,
    by: &By,
) -> Vec<String> {
    let mut sums: BTreeMap<Option<String>, Amount> = BTreeMap::new();
    let (rounding, lines): (Vec<&Line>, Vec<&Line>) =
        lines.iter().copied().partition(|line| line.kind == LineKind::Rounding);
    for line in lines {
        let sum = sums.entry(by.of(line, parties.catalogues)).or_default();
        *sum = sum.add(line.amount).unwrap_or(*sum);
    }
    let unassigned = sums.remove(&None);
    let rows: Vec<Vec<String>> = sums
        .into_iter()
        .map(|(name, sum)| (name.unwrap_or_default(), sum))
        .chain(unassigned.map(|sum| ("unassigned".to_owned(), sum)))
        .chain(rounding.into_iter().map(|line| ("rounding".to_owned(), line.amount)))
        .chain([("Total".to_owned(), total)])
        .map(|(name, sum)| vec![format!("  {name}"), sum.decimal(head.currency)])
        .collect();
    table::lines(&rows, &[Align::Left, Align::Point])
}

/// What several months cost, as a table: a row for each project, tag, member or plan, a column for
/// each month (R-ORG-2). Of a member, its own share of the bills of the account that pays.
///
/// `bills`: the months, each with its bill where there is one.
pub fn cost(
    head: &AccountHead,
    bills: &[(Span, Option<&Bill>)],
    parties: &Parties<'_>,
    by: &By,
) -> Vec<String> {
    let member = head.payer.is_some();
    let mut sums: BTreeMap<Option<String>, Vec<Amount>> = BTreeMap::new();
    let mut roundings = vec![Amount::ZERO; bills.len()];
    let mut totals = vec![Amount::ZERO; bills.len()];
    let add = |to: &mut Amount, amount: Amount| *to = to.add(amount).unwrap_or(*to);
    for (column, (_, bill)) in bills.iter().enumerate() {
        let Some(bill) = bill else { continue };
        let lines = if member { own_lines(head, bill) } else { bill.lines.iter().collect() };
        for line in lines {
            add(&mut totals[column], line.amount);
            let sum = match line.kind {
                LineKind::Rounding => &mut roundings[column],
                _ => {
                    let row = sums.entry(by.of(line, parties.catalogues));
                    &mut row.or_insert_with(|| vec![Amount::ZERO; bills.len()])[column]
                }
            };
            add(sum, line.amount);
        }
    }
    let unassigned = sums.remove(&None);
    let rounding = Some(roundings).filter(|all| all.iter().any(|amount| !amount.is_zero()));
    let rows = sums
        .into_iter()
        .map(|(name, sums)| (name.unwrap_or_default(), sums))
        .chain(unassigned.map(|sums| ("unassigned".to_owned(), sums)))
        .chain(rounding.map(|sums| ("rounding".to_owned(), sums)))
        .chain([("Total".to_owned(), totals)]);
    let all = |sums: &[Amount]| sums.iter().fold(Amount::ZERO, |sum, one| sum.add(*one).unwrap_or(sum));
    let several = bills.len() > 1;
    let mut cells = Vec::new();
    let month = |span: &Span, zone: &Zone| zone.date(span.start).strftime("%Y-%m").to_string();
    let mut titles = vec![String::new()];
    titles.extend(bills.iter().map(|(span, _)| month(span, parties.zone(head))));
    titles.extend(several.then(|| "All".to_owned()));
    cells.push(titles);
    for (name, sums) in rows {
        let mut row = vec![format!("  {name}")];
        row.extend(sums.iter().map(|sum| sum.decimal(head.currency)));
        row.extend(several.then(|| all(&sums).decimal(head.currency)));
        cells.push(row);
    }
    let paid = if member { format!(" · paid by {}", head.payer()) } else { String::new() };
    let mut shown = vec![format!("Cost of {} · {} · by {}{paid}", head.title, head.currency, by.name())];
    // Under a title figures stand to the right, their points under each other.
    for column in 1..cells[0].len() {
        let decimals = |cell: &str| cell.find('.').map_or(0, |point| cell.len() - point);
        let most = cells.iter().map(|row| decimals(&row[column])).max().unwrap_or(0);
        for row in cells.iter_mut().skip(1) {
            let missing = most - decimals(&row[column]);
            row[column].push_str(&" ".repeat(missing));
        }
    }
    let mut columns = vec![Align::Left];
    columns.resize(cells[0].len(), Align::Right);
    shown.extend(table::lines(&cells, &columns));
    shown
}
