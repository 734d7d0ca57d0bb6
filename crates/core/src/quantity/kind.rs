//! What a charge counts: units of two kinds are not added up.

use crate::catalog::{Aggregate, Catalogue, Charge, HeldBy, Measure, Meter, Model};
use crate::settlement::Stretch;

/// What a charge counts. A version, or another plan, may count something else under the name of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// Units of the subscription, once.
    Fixed,
    /// Units held, by the day.
    Days,
    /// Units held, by the second.
    Seconds,
    /// Usage: how it becomes one quantity, and of which attribute.
    Usage(Aggregate, Option<&'a str>),
    /// Calls by a rate deck.
    Calls,
}

impl<'a> Kind<'a> {
    pub(crate) fn of(list: &'a Catalogue, charge: &'a Charge) -> Kind<'a> {
        match &charge.measure {
            Measure::Fixed | Measure::Term => Kind::Fixed,
            Measure::Held(held) if held.by == HeldBy::Second => Kind::Seconds,
            Measure::Held(_) => Kind::Days,
            Measure::Meter(_) if matches!(charge.pricing.model, Model::Deck(_)) => Kind::Calls,
            Measure::Meter(meter) => match list.meters.get(meter) {
                Some(meter) => Kind::Usage(meter.aggregate, meter.of.as_deref()),
                None => Kind::Usage(Aggregate::Count, None),
            },
        }
    }
}

impl<'a> Stretch<'a> {
    pub(super) fn kind(&self) -> Kind<'a> {
        Kind::of(self.catalogue, self.charge)
    }

    /// Whether its units and those of another are of one kind.
    pub(crate) fn counts_like(&self, other: &Stretch<'_>) -> bool {
        std::ptr::eq(self.charge, other.charge) || self.kind() == other.kind()
    }

    /// Whether it counts calls by a rate deck.
    pub(crate) fn is_by_deck(&self) -> bool {
        matches!(self.charge.pricing.model, Model::Deck(_))
    }

    /// The meter that it counts by.
    pub(super) fn meter(&self) -> Option<&'a Meter> {
        let Measure::Meter(meter) = &self.charge.measure else { return None };
        self.catalogue.meters.get(meter).map(|meter| &**meter)
    }
}
