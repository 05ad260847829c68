"""The functions of `import tsain_core as tsain`, each a whole job: a stack in, a result out."""
