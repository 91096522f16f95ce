//! Networks as data, for other programs.
//!
//! What a layer does by its `run` it says by its `describe`: as nodes of a [`Graph`], in the operators of ONNX's set 17
//! (<https://onnx.ai/onnx/operators>). Nothing is computed by it; the crate c2f-onnx writes it to a file. What is described is
//! prediction: BatchNorm goes by its running statistics. All maps are (B, C, H, W).

mod constant;
mod words;

use std::collections::BTreeMap;

pub use constant::{Constant, Element};

/// A value in a graph: an input, a constant, or what a node computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(usize);

impl Value {
    /// In place of an optional input of a node that isn't given.
    pub const ABSENT: Self = Self(usize::MAX);

    /// Its number in the graph; no other value has it.
    pub fn number(self) -> usize {
        self.0
    }
}

/// An operator with what it is applied to.
#[derive(Clone, Debug)]
pub struct Node {
    /// ONNX's name of the operator.
    pub operator: &'static str,
    /// What it is applied to, in ONNX's order.
    pub inputs: Vec<Value>,
    /// What it computes.
    pub output: Value,
    /// Its settings by ONNX's names.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// A setting of an operator.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f32),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// A word.
    Text(&'static str),
}

/// A size along an axis of an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Always the same.
    Fixed(usize),
    /// Whatever is given; sizes of one name are equal.
    Any(&'static str),
}

/// An input or an output.
#[derive(Clone, Debug)]
pub struct Port {
    /// What other programs call it.
    pub name: &'static str,
    /// The value.
    pub value: Value,
    /// The type of its elements.
    pub element: Element,
    /// Its shape.
    pub dims: Vec<Dim>,
}

/// A computation: inputs, constants, nodes in an order in which they can be computed, and outputs.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    nodes: Vec<Node>,
    /// Each is there once, however often it is used: both looks share their weights.
    constants: BTreeMap<Constant, Value>,
    values: usize,
}

impl Graph {
    /// A new input.
    pub fn input(&mut self, name: &'static str, element: Element, dims: Vec<Dim>) -> Value {
        let value = self.value();
        self.inputs.push(Port { name, value, element, dims });
        value
    }

    /// Makes a value an output, whose elements are f32.
    pub fn output(&mut self, name: &'static str, value: Value, dims: Vec<Dim>) {
        self.outputs.push(Port { name, value, element: Element::F32, dims });
    }

    /// Applies an operator without settings.
    pub fn op(&mut self, operator: &'static str, inputs: &[Value]) -> Value {
        self.op_with(operator, inputs, &[])
    }

    /// Applies an operator with settings.
    pub fn op_with(
        &mut self,
        operator: &'static str,
        inputs: &[Value],
        attributes: &[(&'static str, Attribute)],
    ) -> Value {
        let output = self.value();
        self.nodes.push(Node { operator, inputs: inputs.to_vec(), output, attributes: attributes.to_vec() });
        output
    }

    /// A constant.
    pub fn constant(&mut self, constant: Constant) -> Value {
        let next = Value(self.values);
        let value = *self.constants.entry(constant).or_insert(next);
        self.values += usize::from(value == next);
        value
    }

    /// The inputs, in the order in which they were made.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// The outputs, in the order in which they were made.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// The nodes, each behind those that it needs.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The constants, each with its value, in the order in which they were made.
    pub fn into_constants(self) -> Vec<(Value, Constant)> {
        let mut constants: Vec<_> = self.constants.into_iter().map(|(constant, value)| (value, constant)).collect();
        constants.sort_unstable_by_key(|(value, _)| *value);
        constants
    }

    fn value(&mut self) -> Value {
        self.values += 1;
        Value(self.values - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_constants_are_one() {
        let mut graph = Graph::default();
        let one = graph.floats(&[1.0, 2.0], &[2]);
        let column = graph.floats(&[1.0, 2.0], &[2, 1]);
        let again = graph.floats(&[1.0, 2.0], &[2]);
        assert_eq!(one, again);
        assert!(one != column && graph.op("Relu", &[one]) != column);
        let constants = graph.into_constants();
        assert_eq!(constants.iter().map(|(value, _)| *value).collect::<Vec<_>>(), [one, column]);
    }
}
