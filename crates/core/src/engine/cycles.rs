//! How often charges of one name settle: what versions of a price list, and the plans that a subscription has one after
//! the other, have in common. Usage is counted by it, and what was charged before is found again by it.

use super::Catalogues;
use crate::calendar::Cycle;
use crate::catalog::{Catalogue, Charge, Settle};
use std::fmt;

/// A charge that would settle, or accumulate, otherwise than one of the same name does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherCycles {
    /// The charge.
    pub charge: String,
    /// The plan in which it would.
    pub plan: String,
    /// How it would there.
    pub would: Cycles,
    /// The plan whose charge it goes on from.
    pub of: String,
    /// How that does.
    pub does: Cycles,
}

/// When a charge settles, and over what it accumulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cycles {
    /// When it is posted.
    pub settle: Cycle,
    /// Over what free units, tiers, minimum and maximum count.
    pub accumulate: Cycle,
}

impl Cycles {
    /// `None`: it is posted once, as it is ordered.
    fn of(charge: &Charge) -> Option<Cycles> {
        match charge.settle {
            Settle::Each(settle) => Some(Cycles { settle, accumulate: charge.accumulate }),
            Settle::AtPurchase => None,
        }
    }
}

impl fmt::Display for Cycles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |cycle| match cycle {
            Cycle::Hour => "hour",
            Cycle::Day => "day",
            Cycle::Month => "month",
        };
        write!(f, "settle = \"{}\" and accumulate = \"{}\"", word(self.settle), word(self.accumulate))
    }
}

impl fmt::Display for OtherCycles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OtherCycles { charge, plan, would, of, does } = self;
        write!(f, "{charge} of {plan} has {would}; that of {of}, which it would go on from, {does}")
    }
}

impl Catalogues {
    /// A charge of a version that goes on from one of the same plan in another version, with other cycles; or that a plan
    /// which is there already gets, while another plan of its product has it with others: who has changed from one to the
    /// other would have both.
    pub fn other_cycles(&self, new: &Catalogue) -> Option<OtherCycles> {
        for product in new.products.values() {
            for plan in product.plans.values() {
                let known: Vec<&str> =
                    match self.versions(&new.id).any(|version| version.plan(&plan.id).is_some()) {
                        true => product.plans.keys().map(String::as_str).collect(),
                        false => vec![&plan.id],
                    };
                for charge in &plan.charges {
                    let had = self.has_charge(&new.id, &plan.id, &charge.id);
                    let others = known.iter().filter(|of| !had || **of == plan.id);
                    let wrong = others.filter_map(|of| self.differs(&new.id, of, &plan.id, charge)).next();
                    if wrong.is_some() {
                        return wrong;
                    }
                }
            }
        }
        None
    }

    /// A charge of a plan that goes on from one of other plans, which a subscription has or had, with other cycles.
    pub(crate) fn other_cycles_of_plan<'a>(
        &self,
        catalogue: &str,
        plan: &str,
        mut others: impl Iterator<Item = &'a str>,
    ) -> Option<OtherCycles> {
        let versions = self.versions(catalogue).filter_map(|version| Some(version.plan(plan)?.1));
        let charges: Vec<&Charge> = versions.flat_map(|plan| &plan.charges).collect();
        others.find_map(|of| charges.iter().find_map(|charge| self.differs(catalogue, of, plan, charge)))
    }

    fn has_charge(&self, catalogue: &str, plan: &str, charge: &str) -> bool {
        self.versions(catalogue)
            .any(|version| version.plan(plan).is_some_and(|(_, plan)| plan.charge(charge).is_some()))
    }

    /// Compares a charge of a plan with that of the same name in all versions of another, or the same, plan.
    fn differs(&self, catalogue: &str, of: &str, plan: &str, charge: &Charge) -> Option<OtherCycles> {
        let would = Cycles::of(charge)?;
        let plans = self.versions(catalogue).filter_map(|version| Some(version.plan(of)?.1));
        let does =
            plans.filter_map(|known| Cycles::of(known.charge(&charge.id)?)).find(|does| *does != would)?;
        let (charge, plan, of) = (charge.id.clone(), plan.to_owned(), of.to_owned());
        Some(OtherCycles { charge, plan, would, of, does })
    }
}
