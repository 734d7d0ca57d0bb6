//! What an account brings along from another system (R-OPEN-1).

use super::{Fact, MigratedTerm, Refusal};
use crate::calendar::Span;
use crate::catalog::{Catalogue, Mode, Plan};
use crate::engine::{
    Desk, Fact as EngineFact, OrderRefusal, Refusal as EngineRefusal, money, orders, packages, payable,
};
use crate::ledger::{LedgerAccount, Posting};
use crate::money::{Amount, Exact};
use crate::subscription::{QuantityChange, Subscription};
use crate::term::{self, Deferral, PaidPeriod, Term};
use std::collections::BTreeMap;

impl Desk<'_> {
    /// A balance is there; it pays what is owed, as any money that comes in.
    pub(super) fn migrate_balance(&self, amount: Exact) -> Result<Vec<EngineFact>, EngineRefusal> {
        let amount = payable(amount, self.payer.currency)?;
        let source = (LedgerAccount::Opening, "opening balance");
        let (postings, paid) = money::pay_in(self.view, self.payer, amount, source, self.at)?;
        Ok(vec![Fact::Opened { payer: self.payer.id.clone(), postings, paid }.into()])
    }

    /// A term runs, with its real start and end. Nothing is charged for it: it is paid for. What of
    /// it is still to come is earned here.
    pub(super) fn migrate_term(&self, wish: &MigratedTerm) -> Result<Vec<EngineFact>, EngineRefusal> {
        let MigratedTerm { from, until, .. } = *wish;
        let (catalogue, plan_id) = self.catalogues.find_plan(&wish.plan, self.at)?;
        let Some((product, plan)) = catalogue.plan(&plan_id) else {
            return Err(OrderRefusal::UnknownPlan(wish.plan.clone()).into());
        };
        if catalogue.currency != self.account.currency {
            let (account, catalogue) = (self.account.currency, catalogue.currency);
            return Err(OrderRefusal::OtherCurrency { account, catalogue }.into());
        }
        let name = wish.name.clone().unwrap_or_else(|| plan.id.clone());
        if self.view.subscription(&self.account.id, &name).is_some() {
            return Err(OrderRefusal::SubscriptionExists(name).into());
        }
        if !plan.modes.contains(&Mode::Prepaid) {
            let (plan, offered) = (plan.id.clone(), plan.modes.clone());
            return Err(OrderRefusal::ModeNotOffered { plan, mode: Mode::Prepaid, offered }.into());
        }
        if wish.quantity <= 0 {
            return Err(OrderRefusal::NotPositive(wish.quantity).into());
        }
        packages::check_order(plan, wish.quantity)?;
        if let Some(days) = plan.terms.trial_days {
            return Err(Refusal::TrialOrder { plan: plan.id.clone(), days }.into());
        }
        orders::check_attributes(plan, &wish.attributes)?;
        if from > self.at || until <= self.at {
            return Err(Refusal::TermNotRunning { from, until }.into());
        }
        let follows = self.followed(catalogue, plan, wish)?;
        let paid = Amount::quantise(wish.paid)?;
        if paid.is_negative() {
            return Err(EngineRefusal::BadAmount(format!(
                "what was paid is zero or more, not {}",
                wish.paid
            )));
        }
        // Its packages are those of the price list that it was sold by.
        let sold = self.catalogues.first_with(&catalogue.id, &plan.id, from);
        let used_before = used_before(sold.map_or(plan, |(_, sold)| sold), wish)?;
        let span = Span { start: from, end: until };
        let months = term::started_months(&catalogue.zone, span);
        let length = term::months_of(&catalogue.zone, span)?;
        let period = PaidPeriod { span, months: length, ordered: from, paid };
        let term = Term {
            purchased: from,
            months,
            first_months: months,
            periods: vec![period],
            auto: None,
            next_plans: Vec::new(),
            migrated: Some(self.at),
            used_before,
        };
        let subscription = Subscription {
            name,
            catalogue: catalogue.id.clone(),
            product: product.id.clone(),
            plan: plan.id.clone(),
            earlier: Vec::new(),
            mode: Mode::Prepaid,
            start: from,
            end: Some(until),
            term: Some(term),
            follows,
            attributes: wish.attributes.clone(),
            changes: vec![QuantityChange { at: from, delta: wish.quantity }],
            stops: Vec::new(),
            frozen: Vec::new(),
            levels: BTreeMap::new(),
            settled: BTreeMap::new(),
            recheck: BTreeMap::new(),
            progress: BTreeMap::new(),
        };
        let recognised = Deferral::of(&period).earned(&catalogue.zone, self.at)?;
        let rest = paid.sub(recognised)?;
        let memo = format!("paid before: {}/{}", self.account.id, subscription.name);
        let entries = vec![(LedgerAccount::Opening, rest), (LedgerAccount::Deferred, rest.negated())];
        let posting = Posting::money(self.at, memo, self.payer.currency, entries);
        Ok(vec![
            Fact::Migrated {
                account: self.account.id.clone(),
                payer: self.payer.id.clone(),
                subscription: Box::new(subscription),
                recognised,
                postings: posting.into_iter().filter(|_| !rest.is_zero()).collect(),
            }
            .into(),
        ])
    }
}

impl Desk<'_> {
    /// What a running add-on ends with: of those that it may add to, one with its end, since it is
    /// renewed and given up with that.
    fn followed(
        &self,
        catalogue: &Catalogue,
        plan: &Plan,
        wish: &MigratedTerm,
    ) -> Result<Option<String>, Refusal> {
        let package = self.required(catalogue, plan, Mode::Prepaid, &wish.attributes)?;
        let Some(package) = package.filter(|_| plan.terms.ends_with) else { return Ok(None) };
        let fitting = self.fitting(catalogue, plan, Mode::Prepaid, &wish.attributes);
        match fitting.into_iter().find(|one| one.end == Some(wish.until)) {
            Some(package) => Ok(Some(package.name.clone())),
            None => {
                let (plan, until) = (plan.id.clone(), package.end);
                Err(Refusal::TermOfPackage { plan, package: package.name.clone(), until })
            }
        }
    }
}

/// The units used already of each package, none more than there are.
fn used_before(plan: &Plan, wish: &MigratedTerm) -> Result<BTreeMap<String, Exact>, EngineRefusal> {
    let mut used = BTreeMap::new();
    for (named, units) in &wish.used {
        let found = match (named, plan.grants.as_slice()) {
            (Some(named), grants) => grants.iter().find(|grant| grant.id == *named),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let plan_id = plan.id.clone();
        let Some(grant) = found else {
            let packages = plan.grants.iter().map(|grant| grant.id.clone()).collect();
            return Err(Refusal::PackageNotNamed { plan: plan_id, packages }.into());
        };
        let granted = Exact::whole(wish.quantity.into()).mul(grant.units)?;
        if units.is_negative() || *units > granted || used.insert(grant.id.clone(), *units).is_some() {
            return Err(Refusal::UsedNotGranted { plan: plan_id, used: *units, granted }.into());
        }
    }
    Ok(used)
}
