//! Why a wish about a term is refused.

use crate::calendar::{Instant, Zone, show_local};
use crate::engine::OtherCycles;
use crate::money::Exact;
use std::fmt;

/// Why a wish is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// What the plan requires is not there (R-TCCC-1, R-TCCC-10).
    PackageRequired {
        /// The plan.
        plan: String,
        /// One of these is required.
        requires: Vec<String>,
        /// With an end.
        prepaid: bool,
        /// Bound to this, as `application=sales`.
        bound: Vec<String>,
    },
    /// An add-on has no term of its own.
    TermOfPackage {
        /// The plan.
        plan: String,
        /// The subscription that it would end with.
        package: String,
        /// Its end, where another one was said of a running add-on.
        until: Option<Instant>,
    },
    /// An add-on is renewed with what it ends with (RULES.md §3, no. 12).
    RenewedWithPackage {
        /// The subscription.
        name: String,
        /// What it ends with.
        package: String,
    },
    /// Renewals have other terms (R-YKF-10).
    RenewalTermNotOffered {
        /// The plan.
        plan: String,
        /// Months wished.
        months: u16,
        /// Months that renewals have.
        offered: Vec<u16>,
    },
    /// The account has had what a trial is for (R-TCCC-12).
    TrialUsed {
        /// The plan.
        plan: String,
        /// The subscription that it had.
        had: String,
    },
    /// A trial is of one, without a term.
    TrialOrder {
        /// The plan.
        plan: String,
        /// Days that it lasts.
        days: u16,
    },
    /// A trial ends by its end only (RULES.md §3, no. 17).
    TrialRuns {
        /// The subscription.
        name: String,
        /// Its end.
        until: Instant,
    },
    /// A change leads to a plan of the same product only.
    OtherProduct {
        /// The plan wished.
        plan: String,
        /// The product that the subscription is of.
        product: String,
    },
    /// A charge of the plan goes on from one of the plans before, and would settle otherwise.
    OtherCycles(OtherCycles),
    /// The subscription has the plan already.
    SamePlan(String, String),
    /// Add-ons would lose what they require.
    AddOnsNeedPlan {
        /// The subscription.
        name: String,
        /// Its add-ons.
        add_ons: Vec<String>,
    },
    /// A term is brought along only while it runs.
    TermNotRunning {
        /// Its start.
        from: Instant,
        /// Its end.
        until: Instant,
    },
    /// Less of a package can have been used than is said.
    UsedNotGranted {
        /// The plan.
        plan: String,
        /// The units said to be used.
        used: Exact,
        /// The units that it grants.
        granted: Exact,
    },
    /// Of which package something was used, is not said.
    PackageNotNamed {
        /// The plan.
        plan: String,
        /// The packages that it brings.
        packages: Vec<String>,
    },
}

/// Every code of these refusals.
pub const CODES: &[&str] = &[
    "package-required",
    "term-of-package",
    "renewed-with-package",
    "renewal-term-not-offered",
    "trial-used",
    "trial-order",
    "trial-runs",
    "other-product",
    "other-cycles",
    "same-plan",
    "add-ons-need-plan",
    "term-not-running",
    "used-not-granted",
    "package-not-named",
];

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::PackageRequired { .. } => "package-required",
            Refusal::TermOfPackage { .. } => "term-of-package",
            Refusal::RenewedWithPackage { .. } => "renewed-with-package",
            Refusal::RenewalTermNotOffered { .. } => "renewal-term-not-offered",
            Refusal::TrialUsed { .. } => "trial-used",
            Refusal::TrialOrder { .. } => "trial-order",
            Refusal::TrialRuns { .. } => "trial-runs",
            Refusal::OtherProduct { .. } => "other-product",
            Refusal::OtherCycles(_) => "other-cycles",
            Refusal::SamePlan(..) => "same-plan",
            Refusal::AddOnsNeedPlan { .. } => "add-ons-need-plan",
            Refusal::TermNotRunning { .. } => "term-not-running",
            Refusal::UsedNotGranted { .. } => "used-not-granted",
            Refusal::PackageNotNamed { .. } => "package-not-named",
        }
    }

    /// Why, in a sentence, with moments as the wall clock of `zone` shows them.
    pub fn sentence(&self, zone: &Zone) -> String {
        let shown = |at: &Instant| show_local(zone, *at);
        self.words(&shown)
    }

    fn words(&self, shown: &dyn Fn(&Instant) -> String) -> String {
        match self {
            Refusal::PackageRequired { plan, requires, prepaid, bound } => {
                let how = if *prepaid { " (prepaid)" } else { "" };
                let bound =
                    if bound.is_empty() { String::new() } else { format!(" for {}", bound.join(", ")) };
                format!("{plan} adds to {}{how}; subscribe to that first{bound}", requires.join(" or "))
            }
            Refusal::TermOfPackage { plan, package, until: Some(until) } => {
                let until = shown(until);
                format!("{plan} ends when {package} ends, on {until}; bring it along until then")
            }
            Refusal::TermOfPackage { plan, package, until: None } => {
                format!("{plan} ends when {package} ends; order it without a term")
            }
            Refusal::RenewedWithPackage { name, package } => {
                format!("{name} ends with {package} and is renewed with it; renew {package}")
            }
            Refusal::RenewalTermNotOffered { plan, months, offered } if offered.is_empty() => {
                format!("{plan} cannot be renewed for {months} months, nor for any other term; order it anew")
            }
            Refusal::RenewalTermNotOffered { plan, months, offered } => {
                let offered: Vec<String> = offered.iter().map(u16::to_string).collect();
                format!(
                    "{plan} is not renewed for {months} months; renewals are of {} months",
                    offered.join(", ")
                )
            }
            Refusal::TrialUsed { plan, had } => {
                format!(
                    "{plan} is for a first activation, once; the account has had {had}; order what it needs"
                )
            }
            Refusal::TrialOrder { plan, days } => {
                format!("{plan} is a trial of {days} days: order one, without a term")
            }
            Refusal::TrialRuns { name, until } => {
                format!("{name} is a trial; it stays as it is, and ends by itself on {}", shown(until))
            }
            Refusal::OtherProduct { plan, product } => {
                format!("{plan} is no plan of {product}; cancel this and order the other")
            }
            Refusal::OtherCycles(other) => format!("{other}; cancel this and order the other"),
            Refusal::SamePlan(name, plan) => {
                format!("{name} has the plan {plan} already; change it to another of its product")
            }
            Refusal::AddOnsNeedPlan { name, add_ons } => match add_ons.as_slice() {
                [one] => format!("{one} ends with {name} and needs its plan; give it up first"),
                all => format!("{} end with {name} and need its plan; give them up first", all.join(", ")),
            },
            Refusal::TermNotRunning { from, until } => {
                format!(
                    "a term is brought along while it runs, and this one is from {} until {}; order a new one then",
                    shown(from),
                    shown(until)
                )
            }
            Refusal::UsedNotGranted { plan, used, granted } => {
                format!(
                    "{used} units cannot have been used: {plan} grants {granted}, and each package is named once"
                )
            }
            Refusal::PackageNotNamed { plan, packages } if packages.is_empty() => {
                format!("{plan} brings no package of which anything could have been used")
            }
            Refusal::PackageNotNamed { plan, packages } => {
                format!("say of which package of {plan}, one of {}: PACKAGE=UNITS", packages.join(", "))
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words(&|at| at.to_string()))
    }
}
