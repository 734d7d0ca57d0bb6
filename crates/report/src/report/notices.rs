//! What an account was told.

use super::table::{self, Align};
use farebox_core::account::AccountHead;
use farebox_core::calendar::{Zone, show_local};
use farebox_core::notice::{Channel, Notice};

/// The notices about an account, in their order; of a payer, those about its members too.
pub fn notices(account: &AccountHead, told: &[Notice], zone: &Zone) -> Vec<String> {
    let about = |one: &&Notice| account.payer.is_none() || one.account == account.id;
    let rows: Vec<Vec<String>> = told.iter().filter(about).map(|one| row(one, zone)).collect();
    if rows.is_empty() {
        return vec!["no notices".to_owned()];
    }
    table::lines(&rows, &[Align::Left; 5])
}

fn row(notice: &Notice, zone: &Zone) -> Vec<String> {
    let about = match &notice.subscription {
        Some(subscription) => format!("{}/{subscription}", notice.account),
        None => notice.account.clone(),
    };
    let channels: Vec<&str> = notice.channels.iter().map(Channel::name).collect();
    vec![
        // Indented: a line of an answer does not begin with a date.
        format!("  {}", show_local(zone, notice.at)),
        notice.kind.clone(),
        about,
        notice.text.clone(),
        channels.join(", "),
    ]
}
