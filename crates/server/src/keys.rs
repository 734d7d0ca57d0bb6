//! Access keys: made, listed, revoked.

use crate::access::{Access, made_entry, may};
use crate::answer::{Answer, Reply};
use crate::asked::Asked;
use crate::guard::not_allowed;
use crate::operation::{Body, Described, EVERYONE, Form, OPERATOR, Operation};
use farebox_api::{self as wire, FieldMistake, NewKey, Role, command, read_body};
use farebox_service::{NotErased, Service};
use farebox_store::AccessKey;
use serde_json::{Value, json};

pub(crate) fn operations() -> Vec<Operation> {
    let make_key =
        Operation::post("/v1/keys", "make-key", "Makes an access key; its token is shown this once.")
            .by(OPERATOR)
            .once()
            .body(Body::Json(Described::of::<NewKey>()))
            .refuses(&[(404, "unknown-account"), (409, "token-was-shown"), (409, NotErased::ERASED)])
            .answers(201, Form::One(Described::of::<wire::MadeKey>()))
            .asks(make);
    vec![
        Operation::get("/v1/me", "show-caller", "Who asks, and what may be done with the key.")
            .by(EVERYONE)
            .one::<wire::Caller>()
            .asks(me),
        Operation::get("/v1/keys", "list-keys", "All access keys, revoked ones too.")
            .by(OPERATOR)
            .page::<wire::Key>()
            .asks(list),
        Operation { kept: Some(without_token), ..make_key },
        Operation::delete("/v1/keys/{key}", "revoke-key", "Revokes an access key, at once and for good.")
            .by(OPERATOR)
            .once()
            .refuses(&[(409, "last-operator-key")])
            .one::<wire::Key>()
            .asks(revoke),
    ]
}

/// What is answered where a key is made again with the same `Idempotency-Key`: which one it was. Its token is kept
/// nowhere.
fn without_token(made: &Answer) -> Answer {
    let made: Value = serde_json::from_slice(&made.body).unwrap_or_default();
    let id = made["key"]["id"].as_str().unwrap_or_default();
    let detail = format!(
        "this Idempotency-Key has made the key {id:?}, whose token was shown then and is kept nowhere; revoke it, and make another one"
    );
    Answer::problem("token-was-shown", 409, &detail)
}

fn shown(key: &AccessKey, role: Role) -> wire::Key {
    wire::Key {
        id: key.id.clone(),
        label: key.label.clone(),
        role,
        account: key.account.clone(),
        created_at: key.created.to_string(),
        created_by: key.created_by.clone(),
        revoked_at: key.revoked.map(|at| at.to_string()),
        revoked_by: key.revoked_by.clone(),
        used_at: key.used.map(|at| at.to_string()),
    }
}

fn me(_: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let Some(caller) = &asked.caller else { return Err(Answer::problem("no-key", 401, "say who asks")) };
    let commands = command::COMMANDS.iter().filter(|word| may(caller.role(), word));
    let shown = wire::Caller {
        id: caller.id().to_owned(),
        role: caller.role(),
        account: caller.account().map(str::to_owned),
        commands: commands.map(|word| (*word).to_owned()).collect(),
    };
    Ok(Reply::json(200, shown))
}

fn list(_: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let all = asked.access.all();
    let keys = all.iter().map(|holder| (holder.id().to_owned(), holder));
    asked.page(keys, |holder| shown(holder.key(), holder.role()))
}

fn make(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let wish: NewKey = read_body(&asked.body).map_err(Answer::mistaken)?;
    let account = wish.account.map(|name| name.0);
    let wrong = |found: &str, expected: &str| {
        Err(Answer::mistaken(vec![FieldMistake::new("/account", found, expected)]))
    };
    match (wish.role, &account) {
        (Role::Customer, None) => return wrong("nothing", "the account whose tree the key is for"),
        (Role::Customer, Some(name)) => {
            asked.named(service, name)?;
            // Erasing revokes the keys that there are; what is left of the account is nobody's to see with a new one.
            crate::erasure::refuse_erased(service, name)?;
        }
        (_, None) => {}
        (_, Some(_)) => return wrong("an account", "nothing: only a customer's key is for one account"),
    }
    let made = asked.access.make(service, &wish.label.0, wish.role, account, asked.actor())?;
    let (key, role) = (made.key.clone(), wish.role);
    asked.note_deed(service, &made_entry(&key))?;
    asked.makes(made.key);
    Ok(Reply::json(201, wire::MadeKey { key: shown(&key, role), token: made.token }))
}

fn revoke(service: &mut Service, asked: &Asked) -> Result<Reply, Answer> {
    let all = asked.access.all();
    let id = asked.path("key");
    let Some(holder) = all.iter().find(|holder| holder.id() == id) else {
        return Err(Answer::problem("not-found", 404, &format!("there is no key {id:?}")));
    };
    if holder.key().revoked.is_some() {
        return Ok(Reply::json(200, shown(holder.key(), holder.role())));
    }
    let live = |one: &Access| {
        let all = one.all();
        all.iter().filter(|one| one.role() == Role::Operator && one.key().revoked.is_none()).count()
    };
    if holder.role() == Role::Operator && live(&asked.access) == 1 {
        let detail = "it is the last key of an operator; make another one first";
        return Err(Answer::problem("last-operator-key", 409, detail));
    }
    let key = AccessKey {
        revoked: Some(service.clock()),
        revoked_by: Some(asked.actor().to_owned()),
        ..holder.key().clone()
    };
    service.keep_key(key.clone());
    asked.note_deed(service, &json!({"command": "revoke-key", "key": key.id}))?;
    asked.changes(holder.key(), key.clone())?;
    Ok(Reply::json(200, shown(&key, holder.role())))
}

/// Refuses a command that the caller's role may not send.
pub(crate) fn check_command(asked: &Asked, word: &str) -> Result<(), Answer> {
    match &asked.caller {
        Some(caller) if may(caller.role(), word) => Ok(()),
        Some(caller) => Err(not_allowed(caller, &format!("the command {word}"))),
        None => Err(Answer::problem("no-key", 401, "say who asks")),
    }
}
