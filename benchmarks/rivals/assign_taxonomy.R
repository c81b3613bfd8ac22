# Names with bootstrap support by dada2: Rscript assign_taxonomy.R REFS QUERIES OUT LEVELS THREADS
# Writes a line for every query and level that has a name: row of the query, name, support in %.
suppressPackageStartupMessages(library(dada2))
given <- commandArgs(trailingOnly = TRUE)
queries <- ShortRead::readFasta(given[2])
letters <- as.character(ShortRead::sread(queries))
rows <- as.character(ShortRead::id(queries))
set.seed(1)
found <- assignTaxonomy(
    letters, given[1], minBoot = 0, outputBootstraps = TRUE,
    taxLevels = paste0("level", seq_len(as.integer(given[4]))), multithread = as.integer(given[5])
)
table <- data.frame(
    row = rep(rows, ncol(found$tax)), name = as.vector(found$tax), support = as.vector(found$boot)
)
write.table(
    table[!is.na(table$name), ], given[3],
    sep = "\t", quote = FALSE, row.names = FALSE, col.names = FALSE
)
