//! Buckets of quota, who draws from them, and what sessions hold.

use crate::codec::{choice, record};
use farebox_core::{catalog, hold, package};

record! { package::Bucket {
    id, account, subscription, plan, grant, title, catalogue, meter, unit, span, gaps, expires, ordered, kind, origin,
    @personal scope, alerts, rules,
} }
record! { package::Share { member, valid } }
record! { package::Draw { account, key, bucket, units } }
choice! { catalog::GrantKind { 0 = Included, 1 = AddOn } }
choice! { catalog::Origin { 0 = Free, 1 = Promotional, 2 = Bought } }
choice! { catalog::Alert { 0 = Percent(percent), 1 = Units(units) } }

record! { hold::Hold {
    account, id, source, kind, @personal attributes, measured, since, until, asked, granted, valid_until, used, places, parts,
    ended,
} }
record! { hold::Place { of, subscription } }
record! { hold::Part { subscription, charge, units, money } }
record! { hold::Ended { at, expired, settles } }
