"""Resumable states: what a killed training goes on from, as safetensors and JSON, never pickle.

    WORK/step-<step>-<hash of record.json>/
      model-<process>.safetensors       trained weights, as they are in memory
      optimizer-<process>.safetensors   moments, named `<parameter>.<key>`
      index.json                        which slice of which tensor lies where; hashes of the files
      record.json                       everything else, and the hash of index.json
    WORK/milestone-<step>-<hash of record.json>/
      the same without the optimizer: weights to score and to average, kept to the end

Each process writes what it holds; as the index names slices of whole tensors, any other number of
processes can read them. A state is written aside and renamed when every process has written, so it
is whole or not there.

Order of rows, learning rate and dropout are functions of config and step, so there is no generator
or scheduler to save.
"""
