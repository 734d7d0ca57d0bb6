//! What lines of bills are added up by: project, application, tag, member, bill group, plan (R-ORG-2).

use crate::bill::Line;
use crate::catalog::{Plan, Product};
use crate::engine::Catalogues;

/// What lines are added up by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The project of the usage or the order.
    Project,
    /// Its application.
    Application,
    /// A tag of it.
    Tag(String),
    /// The account: the payer and its members (R-ORG-1).
    Member,
    /// The heading under which bills list it (R-TCCC-16).
    Group,
    /// The plan.
    Plan,
}

impl By {
    /// As questions and parameters write it: `project`, `tag:team`.
    pub fn parse(text: &str) -> Option<By> {
        Some(match text {
            "project" => By::Project,
            "application" => By::Application,
            "member" => By::Member,
            "group" => By::Group,
            "plan" => By::Plan,
            _ => By::Tag(text.strip_prefix("tag:").filter(|name| !name.is_empty())?.to_owned()),
        })
    }

    /// What [`By::parse`] reads.
    pub fn name(&self) -> String {
        match self {
            By::Project => "project".to_owned(),
            By::Application => "application".to_owned(),
            By::Tag(name) => format!("tag:{name}"),
            By::Member => "member".to_owned(),
            By::Group => "group".to_owned(),
            By::Plan => "plan".to_owned(),
        }
    }

    /// What a line belongs to; `None` is unassigned.
    pub fn of(&self, line: &Line, catalogues: &Catalogues) -> Option<String> {
        let split = line.key.as_ref().map(|key| &key.split);
        match self {
            By::Project => split?.project.clone(),
            By::Application => split?.application.clone(),
            By::Tag(name) => split?.tags.get(name).cloned(),
            By::Member => Some(line.account.clone()),
            By::Group => bill_group(line, catalogues).map(|(group, _)| group),
            By::Plan => (!line.plan.is_empty()).then(|| line.plan.clone()),
        }
    }
}

/// The heading of a line's plan, and whether its price list names one.
pub fn bill_group(line: &Line, catalogues: &Catalogues) -> Option<(String, bool)> {
    let (product, plan) = plan_of(line, catalogues)?;
    Some(match &plan.bill_group {
        Some(group) => (group.clone(), true),
        None => (product.title.clone(), false),
    })
}

/// The plan of a line, in the version of its price list that decided; a line that gives back may name none.
fn plan_of<'c>(line: &Line, catalogues: &'c Catalogues) -> Option<(&'c Product, &'c Plan)> {
    let of = line.catalogue.as_ref();
    let lists = || catalogues.iter().filter(|list| of.is_none_or(|of| of.id == list.id));
    let decided = of.and_then(|of| lists().find(|list| of.version == list.version && of.hash == list.hash));
    let plan = decided.and_then(|list| list.plan(&line.plan));
    plan.or_else(|| lists().find_map(|list| list.plan(&line.plan)))
}
