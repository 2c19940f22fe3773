"""One tree-sitter query for each language.

Captures: `@KIND` (function, class, ...) a whole definition, with its name as `@KIND.name` in the same pattern; `@call`
the name that is called; `@import` a whole statement that imports. `function` in a class becomes `method` later.
"""

from __future__ import annotations

PYTHON = """
(class_definition name: (identifier) @class.name) @class
(function_definition name: (identifier) @function.name) @function
(module (expression_statement (assignment left: (identifier) @variable.name) @variable))
(class_definition body: (block (expression_statement (assignment left: (identifier) @field.name) @field)))
(type_alias_statement left: (type (identifier) @type.name)) @type
(call function: [(identifier) @call (attribute attribute: (identifier) @call)])
(decorator [(identifier) @call (attribute attribute: (identifier) @call)])
[(import_statement) (import_from_statement) (future_import_statement)] @import
"""

_SCRIPT = """
(function_declaration name: (identifier) @function.name) @function
(generator_function_declaration name: (identifier) @function.name) @function
(method_definition name: [(property_identifier) (private_property_identifier)] @method.name) @method
(variable_declarator name: (identifier) @function.name
  value: [(arrow_function) (function_expression) (generator_function)]) @function
(program (lexical_declaration (variable_declarator name: (identifier) @variable.name) @variable))
(program (variable_declaration (variable_declarator name: (identifier) @variable.name) @variable))
(program (export_statement declaration: (lexical_declaration
  (variable_declarator name: (identifier) @variable.name) @variable)))
(assignment_expression left: (member_expression property: (property_identifier) @function.name)
  right: [(arrow_function) (function_expression)]) @function
(pair key: (property_identifier) @method.name value: [(arrow_function) (function_expression)]) @method
(call_expression function: [(identifier) @call (member_expression property: (property_identifier) @call)])
(new_expression constructor: [(identifier) @call (member_expression property: (property_identifier) @call)])
(import_statement) @import
(export_statement source: (string)) @import
(call_expression function: (identifier) @_require (#eq? @_require "require") arguments: (arguments . (string)))
  @import
(jsx_opening_element name: (identifier) @call)
(jsx_self_closing_element name: (identifier) @call)
"""

JAVASCRIPT = (
    """
(class_declaration name: (identifier) @class.name) @class
(class name: (identifier) @class.name) @class
(field_definition property: [(property_identifier) (private_property_identifier)] @field.name) @field
"""
    + _SCRIPT
)

_TYPES = """
(class_declaration name: (type_identifier) @class.name) @class
(abstract_class_declaration name: (type_identifier) @class.name) @class
(interface_declaration name: (type_identifier) @interface.name) @interface
(enum_declaration name: (identifier) @enum.name) @enum
(type_alias_declaration name: (type_identifier) @type.name) @type
(internal_module name: [(identifier) (nested_identifier)] @module.name) @module
(module name: [(identifier) (nested_identifier)] @module.name) @module
(function_signature name: (identifier) @function.name) @function
(method_signature name: (property_identifier) @method.name) @method
(abstract_method_signature name: (property_identifier) @method.name) @method
(public_field_definition name: [(property_identifier) (private_property_identifier)] @field.name) @field
(property_signature name: (property_identifier) @field.name) @field
"""

TSX = _TYPES + _SCRIPT
TYPESCRIPT = _TYPES + "\n".join(
    pattern for pattern in _SCRIPT.splitlines() if not pattern.startswith(("(jsx_opening", "(jsx_self"))
)

RUST = """
(struct_item name: (type_identifier) @struct.name) @struct
(enum_item name: (type_identifier) @enum.name) @enum
(union_item name: (type_identifier) @struct.name) @struct
(type_item name: (type_identifier) @type.name) @type
(trait_item name: (type_identifier) @trait.name) @trait
(impl_item type: [(type_identifier) @impl.name (generic_type type: (type_identifier) @impl.name)
  (scoped_type_identifier name: (type_identifier) @impl.name)]) @impl
(function_item name: (identifier) @function.name) @function
(function_signature_item name: (identifier) @function.name) @function
(mod_item name: (identifier) @module.name) @module
(const_item name: (identifier) @constant.name) @constant
(static_item name: (identifier) @constant.name) @constant
(macro_definition name: (identifier) @macro.name) @macro
(enum_variant name: (identifier) @member.name) @member
(field_declaration name: (field_identifier) @field.name) @field
(call_expression function: [(identifier) @call (field_expression field: (field_identifier) @call)
  (scoped_identifier name: (identifier) @call)
  (generic_function function: [(identifier) @call (scoped_identifier name: (identifier) @call)
    (field_expression field: (field_identifier) @call)])])
(macro_invocation macro: [(identifier) @call (scoped_identifier name: (identifier) @call)])
(struct_expression name: (type_identifier) @call)
(use_declaration) @import
(extern_crate_declaration) @import
"""

GO = """
(function_declaration name: (identifier) @function.name) @function
(method_declaration name: (field_identifier) @method.name) @method
(type_spec name: (type_identifier) @struct.name type: (struct_type)) @struct
(type_spec name: (type_identifier) @interface.name type: (interface_type)) @interface
(type_spec name: (type_identifier) @type.name type: [(type_identifier) (qualified_type) (function_type) (map_type)
  (slice_type) (array_type) (pointer_type) (channel_type) (generic_type)]) @type
(type_alias name: (type_identifier) @type.name) @type
(method_elem name: (field_identifier) @method.name) @method
(field_declaration name: (field_identifier) @field.name) @field
(source_file (const_declaration (const_spec name: (identifier) @constant.name) @constant))
(source_file (var_declaration (var_spec name: (identifier) @variable.name) @variable))
(source_file (var_declaration (var_spec_list (var_spec name: (identifier) @variable.name) @variable)))
(call_expression function: [(identifier) @call (selector_expression field: (field_identifier) @call)])
(composite_literal type: [(type_identifier) @call (qualified_type name: (type_identifier) @call)])
(import_spec) @import
"""

JAVA = """
(class_declaration name: (identifier) @class.name) @class
(interface_declaration name: (identifier) @interface.name) @interface
(enum_declaration name: (identifier) @enum.name) @enum
(record_declaration name: (identifier) @class.name) @class
(annotation_type_declaration name: (identifier) @interface.name) @interface
(method_declaration name: (identifier) @method.name) @method
(constructor_declaration name: (identifier) @method.name) @method
(enum_constant name: (identifier) @member.name) @member
(field_declaration declarator: (variable_declarator name: (identifier) @field.name)) @field
(method_invocation name: (identifier) @call)
(object_creation_expression type: [(type_identifier) @call (generic_type (type_identifier) @call)
  (scoped_type_identifier (type_identifier) @call .)])
[(marker_annotation name: (identifier) @call) (annotation name: (identifier) @call)]
(import_declaration) @import
"""

_C = """
(function_definition declarator: (function_declarator declarator: (identifier) @function.name)) @function
(function_definition declarator: (pointer_declarator
  declarator: (function_declarator declarator: (identifier) @function.name))) @function
(function_definition declarator: (pointer_declarator declarator: (pointer_declarator
  declarator: (function_declarator declarator: (identifier) @function.name)))) @function
(translation_unit (declaration declarator: (function_declarator
  declarator: (identifier) @declaration.name)) @declaration)
(translation_unit (declaration declarator: (pointer_declarator
  declarator: (function_declarator declarator: (identifier) @declaration.name))) @declaration)
(translation_unit (declaration declarator: (init_declarator declarator: (identifier) @variable.name)) @variable)
(translation_unit (declaration declarator: (identifier) @variable.name) @variable)
(struct_specifier name: (type_identifier) @struct.name body: (_)) @struct
(union_specifier name: (type_identifier) @struct.name body: (_)) @struct
(enum_specifier name: (type_identifier) @enum.name body: (_)) @enum
(enumerator name: (identifier) @member.name) @member
(type_definition declarator: (type_identifier) @type.name) @type
(type_definition declarator: (pointer_declarator declarator: (type_identifier) @type.name)) @type
(type_definition declarator: (function_declarator declarator: (parenthesized_declarator
  (pointer_declarator declarator: (type_identifier) @type.name)))) @type
(preproc_def name: (identifier) @macro.name) @macro
(preproc_function_def name: (identifier) @macro.name) @macro
(field_declaration declarator: (field_identifier) @field.name) @field
(call_expression function: [(identifier) @call (field_expression field: (field_identifier) @call)])
(preproc_include) @import
"""

C = _C

CPP = (
    _C
    + """
(class_specifier name: (type_identifier) @class.name body: (_)) @class
(namespace_definition name: (_) @module.name) @module
(concept_definition name: (identifier) @type.name) @type
(alias_declaration name: (type_identifier) @type.name) @type
(function_definition declarator: (function_declarator declarator: [(field_identifier) (destructor_name)
  (operator_name)] @method.name)) @method
(function_definition declarator: (reference_declarator (function_declarator declarator: [(identifier)
  (field_identifier) (operator_name)] @function.name))) @function
(function_definition declarator: (pointer_declarator declarator: (function_declarator
  declarator: (field_identifier) @method.name))) @method
(function_definition declarator: (function_declarator declarator: (qualified_identifier) @method.name)) @method
(function_definition declarator: (pointer_declarator declarator: (function_declarator
  declarator: (qualified_identifier) @method.name))) @method
(function_definition declarator: (reference_declarator (function_declarator
  declarator: (qualified_identifier) @method.name))) @method
(field_declaration declarator: (function_declarator declarator: (field_identifier) @declaration.name)) @declaration
(field_declaration declarator: (pointer_declarator declarator: (function_declarator
  declarator: (field_identifier) @declaration.name))) @declaration
(declaration_list (declaration declarator: (function_declarator
  declarator: (identifier) @declaration.name)) @declaration)
(call_expression function: [(qualified_identifier name: (identifier) @call)
  (template_function name: (identifier) @call)
  (qualified_identifier name: (template_function name: (identifier) @call))])
(new_expression type: (type_identifier) @call)
(using_declaration) @import
"""
)

CSHARP = """
(class_declaration name: (identifier) @class.name) @class
(interface_declaration name: (identifier) @interface.name) @interface
(struct_declaration name: (identifier) @struct.name) @struct
(record_declaration name: (identifier) @class.name) @class
(enum_declaration name: (identifier) @enum.name) @enum
(enum_member_declaration name: (identifier) @member.name) @member
(delegate_declaration name: (identifier) @type.name) @type
(namespace_declaration name: (_) @module.name) @module
(method_declaration name: (identifier) @method.name) @method
(constructor_declaration name: (identifier) @method.name) @method
(local_function_statement name: (identifier) @function.name) @function
(property_declaration name: (identifier) @field.name) @field
(field_declaration (variable_declaration (variable_declarator name: (identifier) @field.name))) @field
(invocation_expression function: [(identifier) @call (member_access_expression name: [(identifier) @call
  (generic_name (identifier) @call)]) (generic_name (identifier) @call)
  (conditional_access_expression (member_binding_expression name: (identifier) @call))])
(object_creation_expression type: [(identifier) @call (generic_name (identifier) @call)
  (qualified_name name: (identifier) @call)])
(attribute name: (identifier) @call)
(using_directive) @import
"""

RUBY = """
(class name: [(constant) @class.name (scope_resolution name: (constant) @class.name)]) @class
(module name: [(constant) @module.name (scope_resolution name: (constant) @module.name)]) @module
(method name: (_) @method.name) @method
(singleton_method name: (_) @method.name) @method
(program (assignment left: (constant) @constant.name) @constant)
(body_statement (assignment left: (constant) @constant.name) @constant)
(call method: [(identifier) (constant)] @call)
(call method: (identifier) @_require (#match? @_require "^(require|require_relative|load|autoload)$")) @import
(call receiver: (constant) @call method: (identifier) @_new (#eq? @_new "new"))
"""

PHP = """
(class_declaration name: (name) @class.name) @class
(interface_declaration name: (name) @interface.name) @interface
(trait_declaration name: (name) @trait.name) @trait
(enum_declaration name: (name) @enum.name) @enum
(enum_case name: (name) @member.name) @member
(namespace_definition name: (namespace_name) @module.name) @module
(function_definition name: (name) @function.name) @function
(method_declaration name: (name) @method.name) @method
(const_declaration (const_element . (name) @constant.name) @constant)
(property_declaration (property_element name: (variable_name (name) @field.name))) @field
(function_call_expression function: [(name) @call (qualified_name (name) @call)])
(member_call_expression name: (name) @call)
(nullsafe_member_call_expression name: (name) @call)
(scoped_call_expression name: (name) @call)
(object_creation_expression [(name) @call (qualified_name (name) @call)])
(namespace_use_declaration) @import
[(require_expression) (require_once_expression) (include_expression) (include_once_expression)] @import
"""

KOTLIN = """
(class_declaration name: (identifier) @class.name) @class
(object_declaration name: (identifier) @class.name) @class
(function_declaration name: (identifier) @function.name) @function
(type_alias (identifier) @type.name) @type
(enum_entry (identifier) @member.name) @member
(source_file (property_declaration (variable_declaration (identifier) @variable.name)) @variable)
(class_body (property_declaration (variable_declaration (identifier) @field.name)) @field)
(call_expression . [(identifier) @call (navigation_expression (identifier) @call .)])
(constructor_invocation (user_type (identifier) @call .))
(import) @import
"""

SWIFT = """
(class_declaration name: [(type_identifier) @class.name (user_type (type_identifier) @class.name)]) @class
(protocol_declaration name: (type_identifier) @interface.name) @interface
(function_declaration name: (simple_identifier) @function.name) @function
(protocol_function_declaration name: (simple_identifier) @method.name) @method
(typealias_declaration name: (type_identifier) @type.name) @type
(enum_entry name: (simple_identifier) @member.name) @member
(source_file (property_declaration name: (pattern bound_identifier: (simple_identifier) @variable.name)) @variable)
(class_body (property_declaration name: (pattern bound_identifier: (simple_identifier) @field.name)) @field)
(init_declaration name: "init" @method.name) @method
(call_expression . [(simple_identifier) @call
  (navigation_expression suffix: (navigation_suffix suffix: (simple_identifier) @call))])
(import_declaration) @import
"""

BASH = """
(function_definition name: (word) @function.name) @function
(program (variable_assignment name: (variable_name) @variable.name) @variable)
(declaration_command (variable_assignment name: (variable_name) @variable.name) @variable)
(command name: (command_name (word) @call))
(command name: (command_name (word) @_source) (#match? @_source "^([.]|source)$")) @import
"""
