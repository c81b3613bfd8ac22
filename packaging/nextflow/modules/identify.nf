// Names for one sample: barcodemae identify.
process BARCODEMAE_IDENTIFY {
    tag "${meta.id}"
    label 'process_medium'

    conda "bioconda::barcodemae=0.1.0"
    container "barcodemae:0.1.0"

    input:
    tuple val(meta), path(fasta)
    path library

    output:
    tuple val(meta), path("${meta.id}.tsv"), emit: names
    tuple val(meta), path("${meta.id}.rejected.tsv"), optional: true, emit: rejected
    tuple val(meta), path("${meta.id}.json"), emit: summary
    path "versions.yml", emit: versions

    script:
    def args = task.ext.args ?: ''
    """
    barcodemae identify ${fasta} --reference ${library} --threads ${task.cpus} --summary ${meta.id}.json --output ${meta.id}.tsv ${args}

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        barcodemae: \$(barcodemae --version | cut -d ' ' -f 2)
    END_VERSIONS
    """

    stub:
    """
    touch ${meta.id}.tsv ${meta.id}.json
    echo '"${task.process}": {barcodemae: stub}' > versions.yml
    """
}
