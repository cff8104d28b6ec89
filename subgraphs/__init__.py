"""The six domains of Proofgraph, each a federated subgraph, and the kernel they stand on."""
