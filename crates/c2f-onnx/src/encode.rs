//! From a graph to a file.

use std::collections::HashMap;

use c2f_ops::graph::{Attribute, Constant, Dim, Element, Graph, Node, Port, Value};
use prost::Message;

use crate::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// Version of the operators that graphs are made of.
pub const OPERATOR_SET: i64 = 17;

/// Version of the format that came with that set.
const IR_VERSION: i64 = 8;

/// In every file, right at its beginning, where ONNX names the program that made it.
pub const HEAD: &str = "\x08\x08\x12\x03c2f";

/// The bytes of an ONNX file; `metadata` are its `metadata_props`.
pub fn encode(graph: Graph, name: &str, metadata: &[(String, String)]) -> Vec<u8> {
    let names = Names::new(&graph);
    let node = graph.nodes().iter().enumerate().map(|(index, node)| names.node(index, node)).collect();
    let input = graph.inputs().iter().map(port).collect();
    let output = graph.outputs().iter().map(port).collect();
    let initializer =
        graph.into_constants().into_iter().map(|(value, constant)| tensor(names.of(value), constant)).collect();
    let entry = |(key, value): &(String, String)| StringStringEntryProto { key: key.clone(), value: value.clone() };
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "c2f".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(GraphProto { node, name: name.to_owned(), initializer, input, output }),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: OPERATOR_SET }],
        metadata_props: metadata.iter().map(entry).collect(),
    };
    model.encode_to_vec()
}

/// What the values of a graph are called: inputs and outputs have names of their own, the others numbers.
struct Names(HashMap<Value, String>);

impl Names {
    fn new(graph: &Graph) -> Self {
        let ports = graph.inputs().iter().chain(graph.outputs());
        Self(ports.map(|port| (port.value, port.name.to_owned())).collect())
    }

    fn of(&self, value: Value) -> String {
        if value == Value::ABSENT {
            return String::new();
        }
        self.0.get(&value).cloned().unwrap_or_else(|| format!("v{}", value.number()))
    }

    fn node(&self, index: usize, node: &Node) -> NodeProto {
        NodeProto {
            input: node.inputs.iter().map(|&value| self.of(value)).collect(),
            output: vec![self.of(node.output)],
            name: format!("{}_{index}", node.operator),
            op_type: node.operator.to_owned(),
            attribute: node.attributes.iter().map(|(name, setting)| attribute(name, setting)).collect(),
        }
    }
}

fn attribute(name: &str, setting: &Attribute) -> AttributeProto {
    let empty = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
    match setting {
        Attribute::Float(value) => AttributeProto { f: Some(*value), r#type: 1, ..empty },
        Attribute::Int(value) => AttributeProto { i: Some(*value), r#type: 2, ..empty },
        Attribute::Text(value) => AttributeProto { s: Some(value.as_bytes().to_vec()), r#type: 3, ..empty },
        Attribute::Ints(values) => AttributeProto { ints: values.clone(), r#type: 7, ..empty },
    }
}

fn tensor(name: String, constant: Constant) -> TensorProto {
    let dims = constant.dims.iter().map(|&size| size as i64).collect();
    TensorProto { dims, data_type: data_type(constant.element), name, raw_data: constant.bytes }
}

fn port(port: &Port) -> ValueInfoProto {
    let dim = |dim: &Dim| match *dim {
        Dim::Fixed(size) => DimensionProto { dim_value: Some(size as i64), dim_param: None },
        Dim::Any(name) => DimensionProto { dim_value: None, dim_param: Some(name.to_owned()) },
    };
    let shape = TensorShapeProto { dim: port.dims.iter().map(dim).collect() };
    let tensor_type = TensorTypeProto { elem_type: data_type(port.element), shape: Some(shape) };
    ValueInfoProto { name: port.name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}

/// `TensorProto.DataType`.
fn data_type(element: Element) -> i32 {
    match element {
        Element::F32 => 1,
        Element::U8 => 2,
        Element::I64 => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_the_graph_and_begins_as_all_do() {
        let mut graph = Graph::default();
        let x = graph.input("x", Element::U8, vec![Dim::Any("batch"), Dim::Fixed(2)]);
        let x = graph.to_float(x);
        let low = graph.scalar(-1.5);
        let y = graph.op("Clip", &[x, low, Value::ABSENT]);
        graph.output("y", y, vec![Dim::Any("batch"), Dim::Fixed(2)]);
        let file = encode(graph, "clip", &[("key".to_owned(), "value".to_owned())]);
        assert!(file.starts_with(HEAD.as_bytes()), "{file:?}");
        let model = ModelProto::decode(file.as_slice()).unwrap();
        assert_eq!((&*model.metadata_props[0].key, &*model.metadata_props[0].value), ("key", "value"));
        let graph = model.graph.unwrap();
        assert_eq!(graph.node.iter().map(|node| &*node.op_type).collect::<Vec<_>>(), ["Cast", "Clip"]);
        assert_eq!(graph.node[0].attribute[0].i, Some(1));
        assert_eq!((&*graph.node[0].input[0], &*graph.node[1].output[0]), ("x", "y"));
        assert_eq!(
            graph.node[1].input,
            [graph.node[0].output[0].clone(), graph.initializer[0].name.clone(), String::new()]
        );
        assert_eq!(graph.initializer[0].raw_data, (-1.5_f32).to_le_bytes());
        let of = |port: &ValueInfoProto| port.r#type.clone().unwrap().tensor_type.unwrap();
        assert_eq!((of(&graph.input[0]).elem_type, of(&graph.output[0]).elem_type), (2, 1));
        let dims = of(&graph.input[0]).shape.unwrap().dim;
        assert_eq!((dims[0].dim_param.as_deref(), dims[1].dim_value), (Some("batch"), Some(2)));
    }
}
