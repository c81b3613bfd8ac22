#!/usr/bin/env nextflow
// Names for many samples, and one page that shows them beside each other:
//
//     nextflow run packaging/nextflow --fasta 'samples/*.fasta.gz' --library library
nextflow.enable.dsl = 2

include { BARCODEMAE_IDENTIFY } from './modules/identify'
include { BARCODEMAE_REPORT } from './modules/report'

params.fasta = null
params.library = null

workflow {
    if (!params.fasta || !params.library) {
        error "give --fasta 'FILES' and --library FOLDER"
    }
    samples = Channel
        .fromPath(params.fasta, checkIfExists: true)
        .map { file -> tuple([id: file.simpleName], file) }
    BARCODEMAE_IDENTIFY(samples, file(params.library, checkIfExists: true))
    tables = BARCODEMAE_IDENTIFY.out.names.mix(BARCODEMAE_IDENTIFY.out.rejected)
    BARCODEMAE_REPORT(tables.map { meta, table -> table }.collect())
}
