//! The commands for OpenAPI, and as a table.

use super::{COMMANDS, DATED, WireCommand, Wish};
use crate::value::Moment;
use std::borrow::Cow;
use std::collections::BTreeMap;
use utoipa::openapi::schema::{ArrayItems, Discriminator, Object, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// Schemas by name.
pub(super) type Named = Vec<(String, RefOr<Schema>)>;

/// The schema of a command's fields.
pub(super) type Described = Object;

/// The schema of a command's fields. What it refers to is added to `referred`.
pub(super) fn of<T: ToSchema>(referred: &mut Named) -> Described {
    T::schemas(referred);
    match T::schema() {
        RefOr::T(Schema::Object(object)) => object,
        _ => Object::default(),
    }
}

/// The schema of a command has a name of its own: `ChangePlanCommand`.
fn name_of(word: &str) -> String {
    let words = word.split('-').map(|part| {
        let (first, rest) = part.split_at(1);
        first.to_uppercase() + rest
    });
    words.collect::<String>() + "Command"
}

/// The schema of a whole command, with `command` and `effective`.
fn whole(word: &str, fields: Object) -> Object {
    let tag = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([word]));
    let tag = tag.description(Some("Which command it is."));
    let mut schema = ObjectBuilder::new().schema_type(Type::Object).description(fields.description.clone());
    schema = schema.property("command", tag).required("command");
    let (mut whole, properties) = (schema.build(), fields.properties);
    whole.properties.extend(properties);
    whole.required.extend(fields.required);
    whole.additional_properties = fields.additional_properties;
    if DATED.contains(&word) {
        let mut effective = Ref::from_schema_name(Moment::name());
        effective.description = "From when it counts; now when left out.".to_owned();
        whole.properties.insert("effective".to_owned(), effective.into());
    }
    whole
}

/// A command as the page about commands shows it.
#[derive(Clone, Debug)]
pub struct CommandPart {
    /// Its word.
    pub word: &'static str,
    /// What it does.
    pub description: String,
    /// Its fields, besides `command`.
    pub fields: Vec<FieldPart>,
}

/// A field of a command.
#[derive(Clone, Debug)]
pub struct FieldPart {
    /// Its name.
    pub name: String,
    /// The name of its value's schema: `Moment`, `array of Name`.
    pub form: String,
    /// Whether it must be given.
    pub required: bool,
    /// What it says.
    pub description: String,
}

/// All commands with their fields, and the values that these have: by name, what is expected.
pub fn described() -> (Vec<CommandPart>, BTreeMap<String, String>) {
    let mut named = Named::new();
    Wish::schemas(&mut named);
    let mut of_name: BTreeMap<String, RefOr<Schema>> = named.into_iter().collect();
    let mut part = |word: &'static str| {
        let Some(RefOr::T(Schema::Object(whole))) = of_name.remove(&name_of(word)) else {
            return CommandPart { word, description: String::new(), fields: Vec::new() };
        };
        let fields = whole.properties.iter().filter(|(name, _)| *name != "command");
        let fields = fields.map(|(name, schema)| {
            let (form, description) = form(schema);
            FieldPart { name: name.clone(), form, required: whole.required.contains(name), description }
        });
        CommandPart {
            word,
            fields: fields.collect(),
            description: whole.description.clone().unwrap_or_default(),
        }
    };
    let commands = COMMANDS.iter().map(|word| part(word)).collect();
    let values = of_name.into_iter().map(|(name, schema)| {
        let expected = match schema {
            RefOr::T(Schema::Object(value)) if value.enum_values.is_none() => value.description,
            _ => None,
        };
        (name, expected.unwrap_or_default())
    });
    (commands, values.collect())
}

/// The name of a field's value, and what the field says.
fn form(schema: &RefOr<Schema>) -> (String, String) {
    match schema {
        RefOr::Ref(to) => {
            let name = to.ref_location.rsplit('/').next().unwrap_or_default();
            (name.to_owned(), to.description.clone())
        }
        // Left out or null, or a value.
        RefOr::T(Schema::OneOf(all)) => all.items.first().map(form).unwrap_or_default(),
        RefOr::T(Schema::Array(list)) => {
            let of = match &list.items {
                ArrayItems::RefOrSchema(of) => form(of).0,
                ArrayItems::False => String::new(),
            };
            (format!("array of {of}"), list.description.clone().unwrap_or_default())
        }
        RefOr::T(Schema::Object(value)) => {
            ("`true` or `false`".to_owned(), value.description.clone().unwrap_or_default())
        }
        RefOr::T(_) => Default::default(),
    }
}

impl PartialSchema for Wish {
    fn schema() -> RefOr<Schema> {
        let reference = |word: &&str| Ref::from_schema_name(name_of(word));
        let all = COMMANDS.iter().fold(OneOfBuilder::new(), |all, word| all.item(reference(word)));
        let mut discriminator = Discriminator::new("command");
        discriminator.mapping =
            COMMANDS.iter().map(|word| ((*word).to_owned(), reference(word).ref_location)).collect();
        let described = "A wish for an account, told apart by `command`.";
        all.description(Some(described)).discriminator(Some(discriminator)).into()
    }
}

impl ToSchema for Wish {
    fn name() -> Cow<'static, str> {
        "Command".into()
    }

    fn schemas(named: &mut Named) {
        named.push((Moment::name().into_owned(), Moment::schema()));
        for (word, fields) in WireCommand::schemas_of_fields(named) {
            named.push((name_of(word), whole(word, fields).into()));
        }
    }
}
